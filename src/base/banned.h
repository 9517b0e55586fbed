// SPDX-License-Identifier: Apache-2.0
// Calls that are too easy to misuse become compile errors. Included by every build through the
// compiler's -include option, after the system headers that declare them.
#pragma once

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#define BANNED(name, use) BANNED_##name##_use_##use##_instead

#undef strcpy
#define strcpy(...) BANNED(strcpy, buf_or_str)
#undef strncpy
#define strncpy(...) BANNED(strncpy, buf_or_str)
#undef strcat
#define strcat(...) BANNED(strcat, buf_or_str)
#undef strncat
#define strncat(...) BANNED(strncat, buf_or_str)
#undef stpcpy
#define stpcpy(...) BANNED(stpcpy, buf_or_str)
#undef sprintf
#define sprintf(...) BANNED(sprintf, snprintf)
#undef vsprintf
#define vsprintf(...) BANNED(vsprintf, vsnprintf)
#undef gets
#define gets(...) BANNED(gets, read)
#undef strtok
#define strtok(...) BANNED(strtok, str_cut)
#undef atoi
#define atoi(...) BANNED(atoi, str_to_i64)
#undef atol
#define atol(...) BANNED(atol, str_to_i64)
#undef gmtime
#define gmtime(...) BANNED(gmtime, gmtime_r)
#undef localtime
#define localtime(...) BANNED(localtime, localtime_r)
#undef ctime
#define ctime(...) BANNED(ctime, clock_rfc3339)
#undef asctime
#define asctime(...) BANNED(asctime, clock_rfc3339)
#undef system
#define system(...) BANNED(system, spawn)
#undef popen
#define popen(...) BANNED(popen, spawn)
#undef tmpnam
#define tmpnam(...) BANNED(tmpnam, mkstemp)
#undef alloca
#define alloca(...) BANNED(alloca, arena)
