// SPDX-License-Identifier: Apache-2.0
// The content types that published sites need, sorted by extension. A type that is missing here is
// downloaded instead of shown, because browsers are told not to guess. Pure.
#include "edge/mime.h"

#include <stdlib.h>

static const struct mime {
    const char *ext, *type;
} TYPES[] = {
    {"7z", "application/x-7z-compressed"},
    {"aac", "audio/aac"},
    {"apng", "image/apng"},
    {"atom", "application/atom+xml; charset=utf-8"},
    {"avif", "image/avif"},
    {"bmp", "image/bmp"},
    {"br", "application/x-brotli"},
    {"bz2", "application/x-bzip2"},
    {"c", "text/plain; charset=utf-8"},
    {"cast", "application/x-asciicast"},
    {"css", "text/css; charset=utf-8"},
    {"csv", "text/csv; charset=utf-8"},
    {"epub", "application/epub+zip"},
    {"flac", "audio/flac"},
    {"gif", "image/gif"},
    {"gz", "application/gzip"},
    {"h", "text/plain; charset=utf-8"},
    {"htm", "text/html; charset=utf-8"},
    {"html", "text/html; charset=utf-8"},
    {"ico", "image/vnd.microsoft.icon"},
    {"ics", "text/calendar; charset=utf-8"},
    {"jpeg", "image/jpeg"},
    {"jpg", "image/jpeg"},
    {"js", "text/javascript; charset=utf-8"},
    {"json", "application/json; charset=utf-8"},
    {"jsonld", "application/ld+json; charset=utf-8"},
    {"log", "text/plain; charset=utf-8"},
    {"m4a", "audio/mp4"},
    {"map", "application/json; charset=utf-8"},
    {"md", "text/markdown; charset=utf-8"},
    {"mjs", "text/javascript; charset=utf-8"},
    {"mp3", "audio/mpeg"},
    {"mp4", "video/mp4"},
    {"ogg", "audio/ogg"},
    {"opus", "audio/ogg"},
    {"otf", "font/otf"},
    {"pdf", "application/pdf"},
    {"png", "image/png"},
    {"py", "text/x-python; charset=utf-8"},
    {"rss", "application/rss+xml; charset=utf-8"},
    {"sh", "text/x-shellscript; charset=utf-8"},
    {"svg", "image/svg+xml; charset=utf-8"},
    {"tar", "application/x-tar"},
    {"tgz", "application/gzip"},
    {"tif", "image/tiff"},
    {"tiff", "image/tiff"},
    {"toml", "application/toml; charset=utf-8"},
    {"ttf", "font/ttf"},
    {"txt", "text/plain; charset=utf-8"},
    {"vtt", "text/vtt; charset=utf-8"},
    {"wasm", "application/wasm"},
    {"wav", "audio/wav"},
    {"webm", "video/webm"},
    {"webmanifest", "application/manifest+json; charset=utf-8"},
    {"webp", "image/webp"},
    {"woff", "font/woff"},
    {"woff2", "font/woff2"},
    {"xhtml", "application/xhtml+xml; charset=utf-8"},
    {"xml", "application/xml; charset=utf-8"},
    {"xz", "application/x-xz"},
    {"yaml", "application/yaml; charset=utf-8"},
    {"yml", "application/yaml; charset=utf-8"},
    {"zip", "application/zip"},
    {"zst", "application/zstd"},
};

static int by_extension(const void *key, const void *item)
{
    return strcmp(key, ((const struct mime *)item)->ext);
}

const char *mime_type(struct str name)
{
    char ext[16];
    ptrdiff_t dot = str_rfind(name, '.');
    struct str e = dot < 0 ? STR_NONE : str_from(name, (size_t)dot + 1);
    if (e.n == 0 || e.n >= sizeof(ext))
        return "application/octet-stream";
    for (size_t i = 0; i < e.n; i++)
        ext[i] = e.p[i] >= 'A' && e.p[i] <= 'Z' ? (char)(e.p[i] + 32) : e.p[i];
    ext[e.n] = '\0';
    const struct mime *m = bsearch(ext, TYPES, ARRAY_SIZE(TYPES), sizeof(TYPES[0]), by_extension);
    return m ? m->type : "application/octet-stream";
}

bool mime_is_text(const char *type)
{
    struct str t = str_of(type);
    return str_search(t, STR("charset=")) >= 0 || str_is(t, "application/wasm");
}
