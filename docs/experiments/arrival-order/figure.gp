# SPDX-License-Identifier: MIT
# Rows: for each order the backings 4K, 2M, 1G.
set multiplot layout 1,3
set key top right
array colour[3] = [grey, blue, orange]
set title "table pages at most"
plot for [b=0:2] table every 3::b using (column("tables_peak")):xtic(stringcolumn("order")) \
	title word("4K 2M 1G", b + 1) lc rgb colour[b + 1]
set title "4 KiB leaves at the worst moment"
plot for [b=1:2] table every 3::b using (column("worst.pages_4k")):xtic(stringcolumn("order")) \
	title word("4K 2M 1G", b + 1) lc rgb colour[b + 1]
set title "blocktime, million instructions"
plot for [b=0:2] table every 3::b using (column("blocktime_us") / 128e-3 / 1e6):xtic(stringcolumn("order")) \
	title word("4K 2M 1G", b + 1) lc rgb colour[b + 1]
