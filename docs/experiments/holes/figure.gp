# SPDX-License-Identifier: MIT
set multiplot layout 1,2
set xlabel "lost pages"
set xtics rotate by 0
set title "leaves at the end, backing=1G"
plot table every ::0::4 using (column("end.pages_4k")):xtic(stringcolumn("lose")) title "4 KiB" lc rgb blue, \
	'' every ::0::4 using (column("end.pages_2m")) title "2 MiB" lc rgb orange
set title "table pages at the end, backing=1G"
unset key
plot table every ::0::4 using (column("end.tables")):xtic(stringcolumn("lose")) lc rgb green
