//! What goes wrong, and what must hold all the same (numbers of the fault list of reliability).

mod bits;
mod bombs;
mod clock;
mod disk_full;
mod doors;
mod flood;
mod influx_down;
mod kill;
mod lying_slaves;
mod overload;
mod poison;
mod slow;
mod stopped;
mod sync_error;
mod torn_tail;
