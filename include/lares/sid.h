/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Security identifiers of Windows: whom a domain means, whatever the name is at the moment.
 *
 * Spec: [MS-DTYP] 2.4.2. Thread: plain values. */
#pragma once

#include <lares/types.h>

G_BEGIN_DECLS

#define LARES_SID_SUB_MAX 15  /* sub-authorities: [MS-DTYP] 2.4.2.2 */
#define LARES_SID_TEXT    192 /* bytes that hold every SID as text */

typedef struct {
    uint8_t n; /* sub-authorities */
    uint64_t authority;
    uint32_t sub[LARES_SID_SUB_MAX];
} LaresSid;

LARES_API gboolean lares_sid_equal(const LaresSid *a, const LaresSid *b);
/* "S-1-5-21-…" */
LARES_API void lares_sid_print(const LaresSid *sid, char *buf, size_t size);
/* FALSE: not a SID in that form, with decimal numbers and without leading zeros. */
LARES_API gboolean lares_sid_parse(const char *text, LaresSid *sid);

G_END_DECLS
