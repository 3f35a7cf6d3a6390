// SPDX-License-Identifier: Apache-2.0

package bpf

//go:generate go tool bpf2go -target bpfel -cc clang -strip llvm-strip -cflags "-O2 -g -mcpu=v3 -Wall -Wextra -Werror -Wpadded -Wno-unused-parameter -isystem /usr/include/x86_64-linux-gnu -DIPMP_TIMER=1" -type ipmp_member -type ipmp_slot -type ipmp_instance -type ipmp_round -type ipmp_target -type ipmp_addr -type ipmp_track -type ipmp_survivors -type ipmp_owner -type ipmp_cast -type ipmp_wire -type ipmp_feed -type ipmp_traffic -type ipmp_event -type ipmp_layout -type ipmp_limit -type ipmp_family -type ipmp_kind -type ipmp_member_flag -type ipmp_stage -type ipmp_instance_flag -type ipmp_probe -type ipmp_payload -type ipmp_event_kind -type ipmp_reason timer ipmp.bpf.c
//go:generate go tool bpf2go -target bpfel -cc clang -strip llvm-strip -no-global-types -cflags "-O2 -g -mcpu=v3 -Wall -Wextra -Werror -Wpadded -Wno-unused-parameter -isystem /usr/include/x86_64-linux-gnu" tick ipmp.bpf.c
//go:generate go tool bpf2go -target bpfel -cc clang -strip llvm-strip -cflags "-O2 -g -mcpu=v3 -Wall -Wextra -Werror -Wpadded -isystem /usr/include/x86_64-linux-gnu" -type carrier_answer carrier carrier.bpf.c
