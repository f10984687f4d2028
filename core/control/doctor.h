/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* The registry of checks and the run that is under way or was the last.
 *
 * Thread: main. */
#pragma once

#include <lares/control.h>
#include <lares/doctor.h>

G_BEGIN_DECLS

/* Adds doctor and doctor.show, and the checks of this room: modules, ports, clients. */
gboolean lares_control_open_doctor(LaresControl *control, GError **error);
/* Before protocols are stopped: the run that is under way ends as soon as it can. */
void lares_control_stop_doctor(LaresControl *control);

extern const LaresCheck lares_doctor_module_checks[];
extern const LaresCheck lares_doctor_port_checks[];
extern const LaresCheck lares_doctor_client_checks[];

G_END_DECLS
