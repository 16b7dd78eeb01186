//! What users do, with their own tools.

mod browser;
mod commands;
mod demo;
mod lost_link;
mod modbus;
mod mosquitto;
mod push;
mod replay;
