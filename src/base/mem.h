// SPDX-License-Identifier: Apache-2.0
// Allocation of small objects. These never return NULL: a process that cannot have a few hundred
// bytes cannot do anything useful, so it ends with a message. Large or caller-sized allocations go
// through `struct buf` or `struct arena`, which have ceilings.
#pragma once

#include "base/util.h"

// Zeroed memory for `n` objects of `size` bytes. Free with free().
void *mem_zalloc(size_t n, size_t size) MUST_USE;

// Like realloc for an array of `n` objects of `size` bytes.
void *mem_grow(void *old, size_t n, size_t size) MUST_USE;

// A NUL-terminated copy of `n` bytes at `p`. Free with free().
char *mem_dup(const char *p, size_t n) MUST_USE;

#define NEW(type)          ((type *)mem_zalloc(1, sizeof(type)))
#define NEW_ARRAY(type, n) ((type *)mem_zalloc((n), sizeof(type)))

// Overwrites secrets; the compiler does not remove it.
void mem_wipe(void *p, size_t n);

// For _cleanup_: frees the pointer that the variable holds.
void mem_freep(void *pp);
#define _autofree_ _cleanup_(mem_freep)
