//! What goes wrong, and what must hold all the same (numbers of the fault list of reliability).

mod kill;
mod lying_slaves;
mod poison;
mod sync_error;
