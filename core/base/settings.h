/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Words for somebody who mistyped a name. */
#pragma once

#include <lares/settings.h>

G_BEGIN_DECLS

/* The name most like `word`, or NULL when none is near. `names` is NULL-ended. */
const char *lares_nearest(const char *word, const char *const *names);
/* "; did you mean …?" or the list of what is valid. */
char *lares_nearest_hint(const char *word, const char *const *names);

G_END_DECLS
