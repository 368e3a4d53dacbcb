//! The server side of a connection in HTTP: input into requests.

use std::time::SystemTime;

use crate::role::{FramingError, Input, ReadNext, Role};
use crate::session::http::error::HttpError;
use crate::session::http::{HttpContext, HttpRequest, HttpSettings};
use crate::session::responder::Responder;
use crate::session::server::ServerSession;

impl ServerSession {
    /// Reads a request in HTTP, and prepares `reply` for it. Input that is no request, and
    /// requests that are not allowed, are answered here; so are those for the files of the pages.
    ///
    /// # Errors
    /// There is no request to execute: how to read on.
    pub(crate) fn read_http<'h, R: Role>(
        &mut self,
        input: Input<'h>,
        settings: &HttpSettings,
        time: SystemTime,
        reply: &mut Responder<'_, R>,
    ) -> Result<HttpRequest<'h>, ReadNext> {
        let mut context = HttpContext::failed(time);
        let request = match input {
            Input::HttpHead(head) => HttpRequest::parse(head, settings, &mut context),
            Input::UnencryptedHttpHead(head) => {
                let request = HttpRequest::parse(head, settings, &mut context);
                let refuse = |request: HttpRequest<'_>| {
                    Err(HttpError::TlsRequired(request.encrypted_address()))
                };
                request.and_then(refuse)
            }
            Input::HttpError(error) => Err(error.into()),
            Input::Connected
            | Input::Resumed
            | Input::Line(_)
            | Input::Body(_)
            | Input::FramingError(_) => return Err(ReadNext::Line),
        };
        self.count_request();
        reply.speak_http(context);
        let request = request.map_err(|error| reply.http_error(&error))?;
        match reply.asset(&request) {
            Some(next) => Err(next),
            None => Ok(request),
        }
    }
}

impl From<FramingError> for HttpError {
    fn from(error: FramingError) -> Self {
        match error {
            FramingError::LineTooLong => Self::HeadTooLong,
            FramingError::LineTimeout => Self::Timeout,
            FramingError::UnexpectedEof
            | FramingError::SlowReceiver
            | FramingError::TlsRequired
            | FramingError::OtherProtocol(_) => Self::Malformed("the request is not complete"),
        }
    }
}
