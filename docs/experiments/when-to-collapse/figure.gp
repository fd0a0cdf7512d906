# SPDX-License-Identifier: MIT
set multiplot layout 1,2
set xtics rotate by -35
set title "4 KiB leaves at the worst moment"
plot for [g=0:1] table every ::g*7::g*7+6 using (column("worst.pages_4k")):xtic(stringcolumn("collapse")) \
	title word("random hot", g + 1) lc rgb word(blue." ".orange, g + 1)
set title "all pages here after, million instructions"
plot for [g=0:1] table every ::g*7::g*7+6 using (column("arrived_us") / 128e-3 / 1e6):xtic(stringcolumn("collapse")) \
	title word("random hot", g + 1) lc rgb word(blue." ".orange, g + 1)
