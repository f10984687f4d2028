/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Whose machine was that? Must be refused. */
#define WHERE "/home/somebody/lares"
