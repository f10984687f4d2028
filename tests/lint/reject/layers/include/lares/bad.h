/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* A public header that needs a private one: must be refused. */
#include "net/net.h"
