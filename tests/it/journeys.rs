//! What users do, with their own tools.

mod archive;
mod as_of;
mod backup;
mod beyond;
mod brokers;
mod browser;
mod commands;
mod datasets;
mod dead_link;
mod delete;
mod demo;
mod edge;
mod gateways;
mod history;
mod influx;
mod lorawan;
mod lost_link;
mod modbus;
mod mosquitto;
mod npm;
mod onboarding;
mod push;
mod quarantine;
mod replay;
mod tls;
mod zoo;
