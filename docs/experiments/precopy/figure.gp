# SPDX-License-Identifier: MIT
set multiplot layout 1,3
set xlabel "precopy="
set title "downtime, million instructions"
plot for [g=0:1] table every ::g*5::g*5+4 using (column("downtime_us") / 128e-3 / 1e6):xtic(stringcolumn("precopy")) \
	title word("writer hot", g + 1) lc rgb word(blue." ".orange, g + 1)
set title "blocktime, million instructions"
plot for [g=0:1] table every ::g*5::g*5+4 using (column("blocktime_us") / 128e-3 / 1e6):xtic(stringcolumn("precopy")) \
	title word("writer hot", g + 1) lc rgb word(blue." ".orange, g + 1)
set title "faults"
plot for [g=0:1] table every ::g*5::g*5+4 using (column("faults")):xtic(stringcolumn("precopy")) \
	title word("writer hot", g + 1) lc rgb word(blue." ".orange, g + 1)
