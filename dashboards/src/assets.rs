//! Style sheet, fonts and island, compressed when the binary was built, under names that change with their content.

use axum::Router;
use memory_serve::CacheControl;

/// Addresses of what every page loads.
#[derive(Debug, Clone)]
pub(crate) struct Assets {
    pub(crate) style: String,
    pub(crate) island: String,
    /// The chart that can be zoomed, and its style: fetched when somebody wants it. Empty when it was not built.
    pub(crate) chart: String,
    pub(crate) chart_style: String,
}

impl Assets {
    /// The files and their addresses under `/static`.
    pub(crate) fn load() -> (Self, Router) {
        let served = memory_serve::load!().index_file(None).cache_control(CacheControl::Long).enable_hashed_routes(true);
        let manifest = served.manifest();
        let address = |name: &str| format!("/static{}", manifest.get(name).unwrap_or(name));
        let optional = |name: &str| manifest.get(name).map_or_else(String::new, |hashed| format!("/static{hashed}"));
        let assets = Self {
            style: address("/style.css"),
            island: address("/vivo.js"),
            chart: optional("/grafico.js"),
            chart_style: optional("/grafico.css"),
        };
        (assets, Router::new().nest("/static", served.into_router()))
    }
}
