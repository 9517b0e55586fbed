// SPDX-License-Identifier: Apache-2.0
// Reading `rules`, `workflow:rules`, `only` and `except`. Pure; what they decide is in plan.c.
#include "ci/reader.h"

#define MAX_RULES_NESTING 10
#define WHENS_JOB                                                                                  \
    (1u << CI_ON_SUCCESS | 1u << CI_ON_FAILURE | 1u << CI_ALWAYS | 1u << CI_MANUAL_START |         \
     1u << CI_DELAYED | 1u << CI_NEVER)
#define WHENS_WORKFLOW (1u << CI_ALWAYS | 1u << CI_NEVER)

static const struct ci_key JOB_RULE_KEYS[] = {
    {"if", true},        {"when", true},           {"allow_failure", true},
    {"variables", true}, {"changes", false},       {"exists", false},
    {"needs", false},    {"interruptible", false}, {"start_in", false},
};
static const struct ci_key WORKFLOW_RULE_KEYS[] = {
    {"if", true},       {"when", true},    {"variables", true},
    {"changes", false}, {"exists", false}, {"auto_cancel", false},
};

static void rule_value(struct reader *r, const struct path *at, const struct yaml_pair *p,
                       bool workflow, struct ci_rule *rule)
{
    const struct yaml_node *v = p->value;
    if (yaml_is_null(v))
        return;
    if (str_is(p->key->text, "if")) {
        rule->cond = ci_read_expr(r, at, v, &rule->cond_text);
    } else if (str_is(p->key->text, "when")) {
        rule->has_when = ci_read_when(r, at, v, workflow ? WHENS_WORKFLOW : WHENS_JOB, &rule->when);
    } else if (str_is(p->key->text, "allow_failure")) {
        rule->has_allow_failure = ci_read_bool(r, at, v, &rule->allow_failure);
    } else {
        ci_read_variables(r, at, v, false, &rule->variables);
    }
}

static void read_rule(struct reader *r, const struct path *at, const struct yaml_node *n,
                      bool workflow, struct ci_rule *rule)
{
    const struct ci_key *keys = workflow ? WORKFLOW_RULE_KEYS : JOB_RULE_KEYS;
    size_t nkeys = workflow ? ARRAY_SIZE(WORKFLOW_RULE_KEYS) : ARRAY_SIZE(JOB_RULE_KEYS);
    rule->pos = n->pos;
    for (uint32_t i = 0; i < n->n; i++) {
        const struct yaml_pair *p = &n->pairs[i];
        struct path here = {at, p->key->text, 0};
        if (ci_check_key(r, at, p, keys, nkeys, workflow ? "a workflow rule" : "a rule"))
            rule_value(r, &here, p, workflow, rule);
    }
}

static void read_list(struct reader *r, const struct path *at, const struct yaml_node *n,
                      bool workflow, int depth, struct ci_rules *to)
{
    for (uint32_t i = 0; i < n->n; i++) {
        struct path here = {at, STR_NONE, i};
        const struct yaml_node *item = n->items[i];
        if (item->kind == YAML_LIST && depth < MAX_RULES_NESTING) {
            read_list(r, &here, item, workflow, depth + 1, to);
        } else if (item->kind != YAML_MAP || !item->n) {
            PROBLEM(r, &here, item->pos, "expected a map with `if` or `when`",
                    item->kind == YAML_MAP ? "the rule is empty" : "this is %s",
                    yaml_type_name(item));
        } else {
            read_rule(r, &here, item, workflow, &to->list[to->n++]);
        }
    }
}

void ci_read_rules(struct reader *r, const struct path *at, const struct yaml_node *n,
                   bool workflow, struct ci_rules *ret)
{
    if (n->kind != YAML_LIST) {
        PROBLEM(r, at, n->pos, "expected a list of rules", "this is %s", yaml_type_name(n));
        return;
    }
    ret->list = ARENA_ARRAY(r->a, struct ci_rule, n->weight);
    ret->set = true;
    read_list(r, at, n, workflow, 1, ret);
}

static void check_refs(struct reader *r, const struct path *at, const struct yaml_node *n,
                       const struct ci_lines *refs)
{
    for (size_t i = 0; i < refs->n; i++) {
        struct path here = {at, STR_NONE, i};
        struct err e;
        if (ci_pattern_is(refs->list[i]) && ci_pattern_check(refs->list[i], &e))
            PROBLEM(r, &here, i < n->n ? n->items[i]->pos : n->pos, NULL, "%s", e.msg);
    }
}

static void policy_variables(struct reader *r, const struct path *at, const struct yaml_node *n,
                             struct ci_policy *ret)
{
    if (n->kind != YAML_LIST) {
        PROBLEM(r, at, n->pos, "expected a list of expressions", "this is %s", yaml_type_name(n));
        return;
    }
    ret->variables = ARENA_ARRAY(r->a, struct ci_expr *, n->n);
    for (uint32_t i = 0; i < n->n; i++) {
        struct path here = {at, STR_NONE, i};
        struct str text;
        struct ci_expr *x = ci_read_expr(r, &here, n->items[i], &text);
        if (x)
            ret->variables[ret->nvariables++] = x;
    }
}

static const struct ci_key POLICY_KEYS[] = {
    {"refs", true}, {"variables", true}, {"changes", false}, {"kubernetes", false}};

void ci_read_policy(struct reader *r, const struct path *at, const struct yaml_node *n,
                    struct ci_policy *ret)
{
    ret->pos = n->pos;
    ret->set = true;
    if (n->kind == YAML_LIST) {
        if (ci_read_strs(r, at, n, false, &ret->refs))
            check_refs(r, at, n, &ret->refs);
        return;
    }
    if (n->kind != YAML_MAP || !n->n) {
        PROBLEM(r, at, n->pos, "expected a list of refs, or a map with `refs` or `variables`",
                n->kind == YAML_MAP ? "the map is empty" : "this is %s", yaml_type_name(n));
        return;
    }
    for (uint32_t i = 0; i < n->n; i++) {
        const struct yaml_pair *p = &n->pairs[i];
        struct path here = {at, p->key->text, 0};
        if (!ci_check_key(r, at, p, POLICY_KEYS, ARRAY_SIZE(POLICY_KEYS), "`only` and `except`"))
            continue;
        if (yaml_is_null(p->value))
            continue;
        if (str_is(p->key->text, "variables"))
            policy_variables(r, &here, p->value, ret);
        else if (ci_read_strs(r, &here, p->value, false, &ret->refs))
            check_refs(r, &here, p->value, &ret->refs);
    }
}
