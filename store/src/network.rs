use crate::Complaint;
/// placeholder
#[derive(Debug, Clone, Default)]
pub struct Network { pub files: Vec<NetworkFile> }
#[derive(Debug, Clone, Default)]
pub struct NetworkFile { pub name: String }
#[derive(Debug, Clone)]
pub struct Change { pub line: String }
pub fn parse_network(name: &str, text: &str) -> Result<NetworkFile, Vec<Complaint>> { todo!() }
pub fn parse_profile(name: &str, text: &str) -> Result<model::Profile, Vec<Complaint>> { todo!() }
