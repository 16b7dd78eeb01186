pub fn router(_: store::Store) -> axum::Router { axum::Router::new() }
