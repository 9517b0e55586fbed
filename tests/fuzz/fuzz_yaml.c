// SPDX-License-Identifier: Apache-2.0
// Any bytes as YAML: the tree stays within its limits, positions lie in the text, and the whole can
// be walked and written as JSON.
#include "base/jout.h"
#include "codec/yaml.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n);

static uint32_t walk(const struct yaml_node *node, uint32_t depth)
{
    uint32_t weight = 1;
    BUG_ON(depth > 100 || !node->pos.line);
    for (uint32_t i = 0; i < node->n && node->kind == YAML_LIST; i++)
        weight += walk(node->items[i], depth + 1);
    for (uint32_t i = 0; i < node->n && node->kind == YAML_MAP; i++) {
        BUG_ON(yaml_pair(node, node->pairs[i].key->text) != &node->pairs[i]);
        weight += 1 + walk(node->pairs[i].value, depth + 1);
    }
    BUG_ON(weight != node->weight);
    return weight;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n)
{
    const struct yaml_limits limits = {KIB(64), 40, 2000, 20000};
    _autoarena_ struct arena a;
    struct yaml_doc doc;
    struct err e = ERR_INIT;
    arena_init(&a, MIB(64));
    if (yaml_parse(&a, str_n((const char *)data, n), 0, &limits, &doc, &e)) {
        BUG_ON(!doc.error.line || !e.msg[0]);
        return 0;
    }
    for (size_t i = 0; i < doc.nroots; i++) {
        _autobuf_ struct buf b = BUF_INIT(MIB(16));
        struct jout j;
        walk(doc.roots[i], 0);
        jout_begin(&j, &b);
        yaml_to_json(doc.roots[i], &j);
    }
    return 0;
}
