/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* A room that looks up: must be refused. */
#include "net/net.h"
