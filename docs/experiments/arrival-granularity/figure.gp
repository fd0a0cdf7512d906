# SPDX-License-Identifier: MIT
set multiplot layout 1,3
set xlabel "arrive="
set logscale y
set format y "10^{%T}"
set key top left
set yrange [1e-2:1e3]
set title "longest wait, million instructions"
plot for [g=0:1] table every ::g*4::g*4+3 using (column("longest_wait_us") / 128e-3 / 1e6):xtic(stringcolumn("arrive")) \
	title word("random hot", g + 1) lc rgb word(blue." ".orange, g + 1)
set title "blocktime, million instructions"
plot for [g=0:1] table every ::g*4::g*4+3 using (column("blocktime_us") / 128e-3 / 1e6):xtic(stringcolumn("arrive")) \
	title word("random hot", g + 1) lc rgb word(blue." ".orange, g + 1)
set yrange [1:1e3]
set title "all here after, million instructions"
plot for [g=0:1] table every ::g*4::g*4+3 using (column("arrived_us") / 128e-3 / 1e6):xtic(stringcolumn("arrive")) \
	title word("random hot", g + 1) lc rgb word(blue." ".orange, g + 1)
