/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Left over: must be refused. */
/* TODO: later */
