#!/bin/sh
# usage: ./build.sh FOLDER: writes one HTML page for each text and an index.
set -eu
out=$1
mkdir -p "$out"
cat >"$out/style.css" <<'CSS'
:root { color-scheme: light dark; }
body { font: 1.1rem/1.6 system-ui, sans-serif; max-width: 38rem; margin: 3rem auto; padding: 0 1rem; }
a { color: light-dark(#0b5cad, #7db8f0); }
footer { margin-top: 3rem; font-size: .8rem; opacity: .7; }
CSS

page() { # title; the body comes from standard input
    printf '<!doctype html>\n<html lang="en">\n<meta charset="utf-8">\n'
    printf '<meta name="viewport" content="width=device-width">\n<title>%s</title>\n' "$1"
    printf '<link rel="stylesheet" href="style.css">\n<h1>%s</h1>\n' "$1"
    cat
    printf '<footer>Built from %s by pipeline %s.</footer>\n</html>\n' "${CI_COMMIT_SHORT_SHA:-a work tree}" "${CI_PIPELINE_IID:-none}"
}

for text in pages/*.txt; do
    name=$(basename "$text" .txt)
    title=$(head -n 1 "$text")
    { tail -n +2 "$text" | sed 's/&/\&amp;/g; s/</\&lt;/g; s|^$|<p>|'
      printf '<p><a href="index.html">Back to all pages</a>\n'; } | page "$title" >"$out/$name.html"
    echo "wrote $out/$name.html"
done

{
    echo '<ul>'
    for text in pages/*.txt; do
        printf '<li><a href="%s.html">%s</a>\n' "$(basename "$text" .txt)" "$(head -n 1 "$text")"
    done
    echo '</ul>'
} | page "${SITE_NAME:-Hello}" >"$out/index.html"
echo "wrote $out/index.html"
