# SPDX-License-Identifier: MIT
# Rows: for each size of the written memory, by writes and by bits.
set multiplot layout 1,2
set xlabel "memory that the guest writes, of 128 MiB"
set title "the log's own work, million instructions"
plot table every 2::1 using (column("ahead_us") / 128e-3 / 1e6):xtic(stringcolumn("work")) title "split ahead" lc rgb blue, \
	'' every 2::1 using (column("collect_us") / 128e-3 / 1e6) title "collect" lc rgb orange, \
	'' every 2::1 using (column("recover_us") / 128e-3 / 1e6) title "recover" lc rgb green
set title "second-stage faults"
plot for [l=0:1] table every 2::l using (column("exits_boot.stage2")):xtic(stringcolumn("work")) \
	title word("log=writes log=bits", l + 1) lc rgb word(blue." ".orange, l + 1)
