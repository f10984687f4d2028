/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* What the others look up to. */
#pragma once
