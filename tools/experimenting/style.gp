# SPDX-License-Identifier: MIT
# How all figures of the experiments look. Colours that the colour-blind can tell apart.
set terminal svg size 760,360 font "sans-serif,12" background rgb "white"
set datafile separator comma
set datafile columnheaders
set style data histograms
set style histogram clustered gap 1
set style fill solid 0.9 noborder
set boxwidth 0.9
set grid ytics lc rgb "#dddddd"
set border 3
set tics nomirror
set key top right Left reverse samplen 1 opaque
set offsets 0, 0, graph 0.25, 0
set yrange [0:]
blue = "#2f6db3"; orange = "#d1782b"; green = "#3a8f5f"; violet = "#7a5ca8"; grey = "#888888"
