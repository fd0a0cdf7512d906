# SPDX-License-Identifier: MIT
# How all figures of the experiments look. Colours that the colour-blind can tell apart.
set terminal svg size 760,420 font "sans-serif,12" background rgb "white"
set datafile separator comma
set datafile columnheaders
set key top right opaque
set grid ytics lc rgb "#dddddd"
set border 3
set tics nomirror
set style fill solid 0.85 noborder
set boxwidth 0.8
blue = "#2f6db3"; orange = "#d1782b"; green = "#3a8f5f"; violet = "#7a5ca8"; grey = "#888888"
set offsets graph 0.02, graph 0.02, graph 0.08, 0
