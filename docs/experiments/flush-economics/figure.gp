# SPDX-License-Identifier: MIT
set key top left
set xtics rotate by -35
set logscale y
set yrange [0.5:]
run(n) = stringcolumn("guest")." ".stringcolumn("region")." ".stringcolumn("collapse")
plot table using (column("flushes")):xtic(run(0)) title "flushes" lc rgb orange, \
	'' using (column("collapses")) title "collapses" lc rgb blue, \
	'' using (column("discarded")) title "pages that the guest gave up" lc rgb grey
