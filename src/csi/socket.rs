//! The unix socket that sidecars connect to: private from birth, never stolen from a live process.

use std::fmt;
use std::io::{self, ErrorKind};
use std::os::fd::OwnedFd;
use std::os::unix::fs::FileTypeExt;
use std::os::unix::net::UnixListener as StdListener;
use std::path::{Path, PathBuf};
use std::str::FromStr;
use std::time::Duration;

use rustix::fs::{Mode, fchmod};
use rustix::io::Errno;
use rustix::net::{AddressFamily, SocketAddrUnix, SocketFlags, SocketType};
use rustix::net::{bind as bind_to, listen, socket_with};
use tokio::net::{UnixListener, UnixStream};
use tokio::time::timeout;
use tracing::info;

/// Whoever can connect can have any volume deleted: nobody but our own user may.
const PRIVATE: Mode = Mode::RUSR.union(Mode::WUSR);
/// Connections that wait to be accepted. A controller pod has four sidecars, each with one
/// connection, and reconnecting ones come back with a pause: 16 is four times as many.
const BACKLOG: i32 = 16;
/// A connection to a unix socket of this machine is made at once unless its backlog is full, and
/// then somebody has to be alive to have filled it: one second is only to not wait for ever.
const ANSWER_LIMIT: Duration = Duration::from_secs(1);

/// Where the CSI services are found: the path of a unix socket.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Endpoint(PathBuf);

/// A text that is no endpoint.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum EndpointError {
    /// The socket has no path.
    #[error("the path of the socket is missing")]
    NoPath,
    /// `unix://host/…`.
    #[error("unix:// must be followed by an absolute path, as in unix:///run/csi.sock")]
    Relative,
    /// Something other than a unix socket.
    #[error(
        "{0}: is not supported; CSI sidecars connect to a unix socket, as in unix:///run/csi.sock"
    )]
    Scheme(String),
}

/// Why nobody listens at an endpoint.
#[derive(Debug, thiserror::Error)]
pub enum BindError {
    /// Another process answers there.
    #[error("another process answers at {0}; two drivers cannot share one socket")]
    InUse(Endpoint),
    /// Something there is no socket, and is left alone.
    #[error("{0} exists and is no socket; it is left alone")]
    NotASocket(Endpoint),
    /// The directory is missing.
    #[error(
        "the directory of {0} does not exist; in a pod it is a volume shared with the sidecars"
    )]
    NoDirectory(Endpoint),
    /// The operating system refused.
    #[error("cannot {step} {endpoint}")]
    Io {
        /// What was attempted.
        step: &'static str,
        /// Where.
        endpoint: Endpoint,
        /// What the operating system said.
        #[source]
        source: io::Error,
    },
}

/// A socket that has its name, and lets nobody in yet: whoever connects is refused, and tries again.
#[derive(Debug)]
pub struct Reserved {
    socket: OwnedFd,
    endpoint: Endpoint,
}

/// Listens at `endpoint`, as [`reserve`] and [`Reserved::listen`] do.
///
/// # Errors
/// As theirs.
pub async fn bind(endpoint: &Endpoint) -> Result<UnixListener, BindError> {
    reserve(endpoint).await?.listen()
}

/// Takes the name `endpoint`, unless somebody listens there. A socket that a dead process left behind is
/// replaced; so is one that is only reserved, which a container never sees beside itself.
///
/// # Errors
/// [`BindError`]; in particular if something alive, or something that is no socket, is there.
pub async fn reserve(endpoint: &Endpoint) -> Result<Reserved, BindError> {
    let directory = endpoint
        .0
        .parent()
        .filter(|path| !path.as_os_str().is_empty());
    if !directory.unwrap_or(Path::new(".")).is_dir() {
        return Err(BindError::NoDirectory(endpoint.clone()));
    }
    remove_stale(endpoint).await?;
    let socket = bind_private(&endpoint.0).map_err(|source| endpoint.failed("bind", source))?;
    Ok(Reserved {
        socket,
        endpoint: endpoint.clone(),
    })
}

/// The mode is set on the socket before it has a name: `bind` gives the new file the mode of the
/// socket. Were the file to be changed after `bind`, anybody could connect in between, and a
/// connection stays open whatever becomes of the mode.
fn bind_private(path: &Path) -> io::Result<OwnedFd> {
    let address = SocketAddrUnix::new(path)?;
    let flags = SocketFlags::CLOEXEC | SocketFlags::NONBLOCK;
    let socket = socket_with(AddressFamily::UNIX, SocketType::STREAM, flags, None)?;
    fchmod(&socket, PRIVATE)?;
    bind_to(&socket, &address)?;
    Ok(socket)
}

/// Removes the socket of a process that is gone: one that refuses connections.
async fn remove_stale(endpoint: &Endpoint) -> Result<(), BindError> {
    let path = &endpoint.0;
    let found = match path.symlink_metadata() {
        Ok(found) => found,
        Err(error) if error.kind() == ErrorKind::NotFound => return Ok(()),
        Err(source) => return Err(endpoint.failed("look at", source)),
    };
    if !found.file_type().is_socket() {
        return Err(BindError::NotASocket(endpoint.clone()));
    }
    match timeout(ANSWER_LIMIT, UnixStream::connect(path)).await {
        Err(_) | Ok(Ok(_)) => return Err(BindError::InUse(endpoint.clone())),
        Ok(Err(error)) if error.kind() == ErrorKind::ConnectionRefused => {}
        Ok(Err(source)) => return Err(endpoint.failed("connect to", source)),
    }
    std::fs::remove_file(path).map_err(|source| endpoint.failed("remove the stale", source))?;
    info!(socket = %path.display(), "removed the socket of a process that is gone");
    Ok(())
}

// === impl Reserved ===

impl Reserved {
    /// Lets connections in.
    ///
    /// # Errors
    /// [`BindError`] if the operating system refuses.
    pub fn listen(self) -> Result<UnixListener, BindError> {
        let Self { socket, endpoint } = self;
        let listener = listen(&socket, BACKLOG).map_err(io::Error::from);
        let listener = listener.and_then(|()| UnixListener::from_std(StdListener::from(socket)));
        listener.map_err(|source| endpoint.failed("listen at", source))
    }
}

// === impl Endpoint ===

impl Endpoint {
    /// The path of the socket.
    pub fn path(&self) -> &Path {
        &self.0
    }

    fn failed(&self, step: &'static str, source: io::Error) -> BindError {
        let source = match Errno::from_io_error(&source) {
            // The kernel's own text, "File name too long", speaks of another limit.
            Some(Errno::NAMETOOLONG) => {
                io::Error::other("the path of a unix socket has at most 107 bytes")
            }
            Some(_) | None => source,
        };
        BindError::Io {
            step,
            endpoint: self.clone(),
            source,
        }
    }
}

impl FromStr for Endpoint {
    type Err = EndpointError;

    /// Reads `unix:///path`, `unix:path` or a bare path, as gRPC and the Go driver do.
    fn from_str(raw: &str) -> Result<Self, EndpointError> {
        let path = if let Some(path) = raw.strip_prefix("unix://") {
            if !path.is_empty() && !path.starts_with('/') {
                return Err(EndpointError::Relative);
            }
            path
        } else if let Some(path) = raw.strip_prefix("unix:") {
            path
        } else if let Some((scheme, _)) = raw.split_once(':').filter(|(s, _)| !s.contains('/')) {
            return Err(EndpointError::Scheme(scheme.to_owned()));
        } else {
            raw
        };
        if path.is_empty() {
            return Err(EndpointError::NoPath);
        }
        Ok(Self(PathBuf::from(path)))
    }
}

impl fmt::Display for Endpoint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "unix:{}", self.0.display())
    }
}

#[cfg(test)]
mod tests {
    use std::fs;
    use std::os::unix::fs::PermissionsExt;

    use tempfile::TempDir;

    use super::*;

    fn endpoint(directory: &TempDir, name: &str) -> Endpoint {
        Endpoint(directory.path().join(name))
    }

    #[test]
    fn endpoints_are_unix_sockets_or_refused() {
        for (raw, path) in [
            ("unix:///run/csi.sock", "/run/csi.sock"),
            ("unix:/run/csi.sock", "/run/csi.sock"),
            ("unix:csi.sock", "csi.sock"),
            ("/run/csi.sock", "/run/csi.sock"),
            ("csi.sock", "csi.sock"),
            ("/run/a:b", "/run/a:b"),
        ] {
            let read: Endpoint = raw.parse().unwrap();
            assert_eq!(read.path(), Path::new(path), "{raw}");
            assert_eq!(read.to_string().parse(), Ok(read), "{raw}");
        }
        let scheme = |name: &str| EndpointError::Scheme(name.to_owned());
        for (raw, expected) in [
            ("", EndpointError::NoPath),
            ("unix:", EndpointError::NoPath),
            ("unix://", EndpointError::NoPath),
            ("unix://run/csi.sock", EndpointError::Relative),
            ("tcp://127.0.0.1:10000", scheme("tcp")),
            ("http://x", scheme("http")),
            ("127.0.0.1:10000", scheme("127.0.0.1")),
        ] {
            assert_eq!(raw.parse::<Endpoint>(), Err(expected), "{raw}");
        }
    }

    #[tokio::test]
    async fn only_our_own_user_can_connect() {
        let directory = TempDir::new().unwrap();
        let endpoint = endpoint(&directory, "csi.sock");
        let _listener = bind(&endpoint).await.unwrap();
        let mode = endpoint.path().metadata().unwrap().permissions().mode();
        assert_eq!(mode & 0o7777, 0o600);
    }

    #[tokio::test]
    async fn a_reserved_socket_lets_nobody_in_before_it_listens() {
        let directory = TempDir::new().unwrap();
        let endpoint = endpoint(&directory, "csi.sock");
        let reserved = reserve(&endpoint).await.unwrap();
        let error = UnixStream::connect(endpoint.path()).await.unwrap_err();
        assert_eq!(error.kind(), ErrorKind::ConnectionRefused);
        let _listener = reserved.listen().unwrap();
        assert!(UnixStream::connect(endpoint.path()).await.is_ok());
    }

    #[tokio::test]
    async fn the_socket_of_a_dead_process_is_replaced() {
        let directory = TempDir::new().unwrap();
        let endpoint = endpoint(&directory, "csi.sock");
        drop(bind(&endpoint).await.unwrap());
        assert!(endpoint.path().exists(), "closing leaves the file behind");
        let _listener = bind(&endpoint).await.unwrap();
        assert!(UnixStream::connect(endpoint.path()).await.is_ok());
    }

    #[tokio::test]
    async fn the_socket_of_a_live_process_is_left_to_it() {
        let directory = TempDir::new().unwrap();
        let endpoint = endpoint(&directory, "csi.sock");
        let listener = bind(&endpoint).await.unwrap();
        let error = bind(&endpoint).await.unwrap_err();
        assert!(matches!(error, BindError::InUse(_)), "{error}");
        // The attempt to find out is one connection; ours comes after it.
        listener.accept().await.unwrap();
        let (_ours, accepted) =
            tokio::join!(UnixStream::connect(endpoint.path()), listener.accept());
        assert!(accepted.is_ok(), "the first process still listens");
    }

    #[tokio::test]
    async fn what_is_no_socket_is_never_removed() {
        let directory = TempDir::new().unwrap();
        let file = endpoint(&directory, "precious");
        fs::write(file.path(), "data").unwrap();
        let link = endpoint(&directory, "link");
        std::os::unix::fs::symlink(file.path(), link.path()).unwrap();
        for endpoint in [&file, &link] {
            let error = bind(endpoint).await.unwrap_err();
            assert!(matches!(error, BindError::NotASocket(_)), "{error}");
        }
        assert_eq!(fs::read_to_string(file.path()).unwrap(), "data");
    }

    #[tokio::test]
    async fn a_place_where_no_socket_can_be_is_named() {
        let directory = TempDir::new().unwrap();
        let error = bind(&endpoint(&directory, "missing/csi.sock")).await;
        assert!(matches!(error, Err(BindError::NoDirectory(_))));
        let error = bind(&endpoint(&directory, &"x".repeat(108)))
            .await
            .unwrap_err();
        let BindError::Io { source, .. } = &error else {
            panic!("{error}");
        };
        assert!(source.to_string().contains("107"), "{source}");
    }
}
