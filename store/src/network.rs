use crate::{Complaint, Error, Registry};
#[derive(Debug, Clone, Default)]
pub struct Network { pub files: Vec<NetworkFile> }
#[derive(Debug, Clone, Default)]
pub struct NetworkFile { pub name: String }
#[derive(Debug, Clone)]
pub struct Change { pub line: String }
#[derive(Debug, Clone, Default)]
pub(crate) struct OriginMap;
pub(crate) struct Document { pub(crate) kind: &'static str, pub(crate) id: String, pub(crate) number: Option<u32>, pub(crate) file: String, pub(crate) retired: bool, pub(crate) body: String }
pub(crate) struct Plan { pub(crate) registry: Registry, pub(crate) origins: OriginMap, pub(crate) changes: Vec<Change>, pub(crate) documents: Vec<Document> }
pub(crate) fn plan(_: &Registry, _: &OriginMap, _: &Network) -> Result<Plan, Vec<Complaint>> { todo!() }
pub(crate) fn restore(_: Vec<Document>) -> Result<(Registry, OriginMap), Error> { Ok((Registry::default(), OriginMap)) }
pub fn parse_network(_name: &str, _text: &str) -> Result<NetworkFile, Vec<Complaint>> { todo!() }
pub fn parse_profile(_name: &str, _text: &str) -> Result<model::Profile, Vec<Complaint>> { todo!() }
