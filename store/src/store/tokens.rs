//! Tokens of a store: made, listed, revoked, looked up.

use super::Store;
use crate::Error;
use crate::access::{self, Holder, NewToken, Pending, TokenLine, Tokens};
use crate::engine::{Change, Engine};
use crate::writer::Work;
use model::{OwnerId, Scope, Timestamp, Viewer};
use std::sync::{PoisonError, RwLockReadGuard};
use std::time::Duration;
use tokio::sync::watch;

impl Store {
    /// Makes a token that never expires. As [`Store::new_token_until`].
    ///
    /// # Errors
    /// As [`Store::commit`].
    pub fn new_token(&self, owner: &OwnerId, scopes: &[Scope]) -> Result<NewToken, Error> {
        self.new_token_until(owner, scopes, None)
    }

    /// Makes a token that holds before `expires`; its text is shown this once and only its SHA-256 is kept. It is on disk when this
    /// returns.
    ///
    /// # Errors
    /// As [`Store::commit`].
    pub fn new_token_until(&self, owner: &OwnerId, scopes: &[Scope], expires: Option<Timestamp>) -> Result<NewToken, Error> {
        let (token, pending) = access::make(owner, scopes, self.clock().now(), expires)?;
        let _writing = self.inner.token_writes.lock().unwrap_or_else(PoisonError::into_inner);
        self.write_tokens(vec![pending])?;
        Ok(token)
    }

    /// Revokes a token for good: no door takes it from the moment at which this returns, and that is on disk. False when there is no
    /// such token, or it was revoked before.
    ///
    /// # Errors
    /// As [`Store::commit`]; then the token holds on.
    pub fn revoke_token(&self, id: &str) -> Result<bool, Error> {
        let _writing = self.inner.token_writes.lock().unwrap_or_else(PoisonError::into_inner);
        let Some(pending) = self.tokens_now().revocation(id, self.clock().now()) else { return Ok(false) };
        self.write_tokens(vec![pending])?;
        self.inner.token_changes.send_modify(|count| *count += 1);
        Ok(true)
    }

    /// Every token, the expired and revoked too, by owner and id.
    #[must_use]
    pub fn tokens(&self) -> Vec<TokenLine> {
        self.tokens_now().lines()
    }

    /// Changes whenever a token is revoked: whoever serves for long asks [`Store::holds`] again then.
    #[must_use]
    pub fn token_changes(&self) -> watch::Receiver<u64> {
        self.inner.token_changes.subscribe()
    }

    /// Whoever holds this token; `None` if nobody does, or it has expired or was revoked. Notes that it was used.
    #[must_use]
    pub fn holder_of(&self, token: &str) -> Option<Holder> {
        self.tokens_now().holder_of(token, self.clock().now())
    }

    /// Whether the token that was shown still holds.
    #[must_use]
    pub fn holds(&self, holder: &Holder) -> bool {
        self.tokens_now().holds(holder, self.clock().now())
    }

    /// As [`Store::holder_of`], for answers that are given at once.
    #[must_use]
    pub fn viewer_of(&self, token: &str) -> Option<Viewer> {
        self.holder_of(token).map(|holder| holder.viewer)
    }

    /// Writes when tokens were used last, where that is at least `by` later than what is on disk: one commit for all of them.
    ///
    /// # Errors
    /// As [`Store::commit`]; it is tried again the next time.
    pub fn write_token_uses(&self, by: Duration) -> Result<(), Error> {
        let _writing = self.inner.token_writes.lock().unwrap_or_else(PoisonError::into_inner);
        let pending = self.tokens_now().unwritten_uses(i64::try_from(by.as_secs()).unwrap_or(i64::MAX));
        if pending.is_empty() { Ok(()) } else { self.write_tokens(pending) }
    }

    /// Tokens of another store that are not known here; what was revoked here stays so.
    pub(crate) fn take_over_tokens(&self, other: &dyn Engine) -> Result<(), Error> {
        self.write_token_uses(Duration::ZERO)?;
        let _writing = self.inner.token_writes.lock().unwrap_or_else(PoisonError::into_inner);
        let ours = self.shared().engine.documents("token")?;
        let theirs = other.documents("token")?;
        let new: Vec<_> = theirs.into_iter().filter(|token| !ours.iter().any(|known| known.id == token.id)).collect();
        if new.is_empty() {
            return Ok(());
        }
        let changes = new.iter().cloned().map(Change::PutDocument).collect();
        self.ask(|answer| Work::Documents(changes, answer))?;
        let all: Vec<_> = ours.into_iter().chain(new).collect();
        *self.inner.tokens.write().unwrap_or_else(PoisonError::into_inner) = Tokens::restore(&all);
        Ok(())
    }

    /// On disk first, then for everybody.
    fn write_tokens(&self, pending: Vec<Pending>) -> Result<(), Error> {
        let changes = pending.iter().map(Pending::change).collect::<Result<Vec<_>, _>>()?;
        self.ask(|answer| Work::Documents(changes, answer))?;
        let mut tokens = self.inner.tokens.write().unwrap_or_else(PoisonError::into_inner);
        pending.into_iter().for_each(|one| tokens.take(one));
        Ok(())
    }

    fn tokens_now(&self) -> RwLockReadGuard<'_, Tokens> {
        self.inner.tokens.read().unwrap_or_else(PoisonError::into_inner)
    }
}
