/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* A module that reaches into the core: must be refused, both ways of writing it. */
#include <net/net.h>
#include "net/net.h"
