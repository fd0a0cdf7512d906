# SPDX-License-Identifier: MIT
set multiplot layout 1,2
set xtics rotate by -35
run(n) = stringcolumn("collapse")." ".stringcolumn("order")
unset key
set title "table pages at most, a page used in 128 KiB"
plot table every ::0::6 using (column("tables_peak")):xtic(run(0)) lc rgb blue
set title "table pages at most, a page used in 2 MiB"
plot table every ::7::13 using (column("tables_peak")):xtic(run(0)) lc rgb orange
