// SPDX-License-Identifier: Apache-2.0
// Which jobs this runner has in its hands, kept in files beside the builds, so that the jobs of a
// runner that was killed are reported as failed the moment it starts again instead of when the
// server gives them up. Main thread only.
#pragma once

#include "runner/protocol.h"

#include "base/str.h"

// Notes that a job is taken: <builds>/.jobs/<id> holds its token (0600); the
// folder is runner_prepare_builds()'s.
int journal_add(const char *builds, int64_t job_id, struct str token, struct err *e) MUST_USE;
// The server knows how it ended.
void journal_remove(const char *builds, int64_t job_id);
// Reports every job that is still noted as failed (runner_system_failure), with a line in its
// trace. Only before the first job is taken. *ret_left is how many could not be reported because
// the server did not answer: call again.
void journal_settle(const char *builds, struct proto *proto, unsigned *ret_left);
