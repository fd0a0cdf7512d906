# SPDX-License-Identifier: MIT
# Rows: for each order the backings 2M and 1G.
set multiplot layout 1,2
set title "4 KiB leaves at the worst moment"
plot for [b=0:1] table every 2::b using (column("worst.pages_4k")):xtic(stringcolumn("order")) \
	title "backing=".word("2M 1G", b + 1) lc rgb word(blue." ".orange, b + 1)
set title "blocktime, million instructions"
plot for [b=0:1] table every 2::b using (column("blocktime_us") / 128e-3 / 1e6):xtic(stringcolumn("order")) \
	title "backing=".word("2M 1G", b + 1) lc rgb word(blue." ".orange, b + 1)
