# SPDX-License-Identifier: MIT
set multiplot layout 1,2
set xtics rotate by -40
run(n) = stringcolumn("collapse")." ".stringcolumn("order")
unset key
set title "4 KiB leaves at the worst moment,\nthe guest uses a page in 128 KiB"
plot table every ::0::6 using (column("worst.pages_4k")):xtic(run(0)) lc rgb blue
set title "4 KiB leaves at the worst moment,\nthe guest uses a page in 2 MiB"
plot table every ::7::13 using (column("worst.pages_4k")):xtic(run(0)) lc rgb orange
