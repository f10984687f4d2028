/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* The whole contract of a Lares module in one include. */
#pragma once

#include <lares/acl.h>
#include <lares/arena.h>
#include <lares/auth.h>
#include <lares/control.h>
#include <lares/cursor.h>
#include <lares/doctor.h>
#include <lares/files.h>
#include <lares/host.h>
#include <lares/identity.h>
#include <lares/log.h>
#include <lares/metrics.h>
#include <lares/module.h>
#include <lares/net.h>
#include <lares/protocol.h>
#include <lares/settings.h>
#include <lares/share.h>
#include <lares/sid.h>
#include <lares/spnego.h>
#include <lares/state.h>
#include <lares/store.h>
#include <lares/types.h>
