#!/bin/sh
# usage: ./check.sh FOLDER: fails when a page links to a file that is not there.
set -eu
cd "$1"
bad=0
for page in *.html; do
    for target in $(sed -n 's/.*href="\([^"]*\)".*/\1/p' "$page"); do
        [ -e "$target" ] || { echo "$page links to $target, which does not exist"; bad=1; }
    done
done
[ "$bad" = 0 ] && echo "all links lead somewhere"
exit "$bad"
