//! Doors: where bytes come in. A door is one file below.

pub mod broker;
pub mod guard;
pub mod http;
pub mod modbus;
pub mod mqtt;

use crate::pipeline::Intake;
use tokio::sync::watch;

/// Becomes true once, when everything should finish and stop.
pub type Stop = watch::Receiver<bool>;

/// Resolves when `stop` is true, or nobody can say any more that it is not.
pub async fn stopped(stop: &mut Stop) {
    let _ = stop.wait_for(|stop| *stop).await;
}

/// Moves bytes from one kind of wire to the pipeline and settles with the sender; knows no format.
pub trait Source {
    /// Runs until `stop` is true; ends after what was taken has been settled.
    fn run(self, intake: Intake, stop: Stop) -> impl Future<Output = ()> + Send;
}
