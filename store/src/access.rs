/// A token just made.
#[derive(Debug, Clone)]
pub struct NewToken {
    /// Names the token in lists and logs; not secret.
    pub id: String,
    /// The secret, shown once.
    pub text: String,
}
