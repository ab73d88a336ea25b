//! Sends one query to the cluster DNS, to check that it answers at its address.

use std::net::{IpAddr, SocketAddr};
use std::time::Duration;

use tokio::net::UdpSocket;
use tokio::time::timeout;

const ANSWER: Duration = Duration::from_secs(1);
const ID: u16 = 0x4a65;

/// Queries the address of `name`; fails if there is none.
pub(crate) async fn query(server: IpAddr, name: &str) -> Result<(), String> {
    let any: SocketAddr = match server {
        IpAddr::V4(_) => ([0, 0, 0, 0], 0).into(),
        IpAddr::V6(_) => ([0u16; 8], 0).into(),
    };
    let exchange = async {
        let socket = UdpSocket::bind(any).await?;
        socket.connect((server, 53)).await?;
        socket.send(&question(name)).await?;
        let mut answer = [0u8; 1500];
        let length = socket.recv(&mut answer).await?;
        Ok::<_, std::io::Error>(answer.get(..length).unwrap_or_default().to_vec())
    };
    match timeout(ANSWER, exchange).await {
        Err(_) => Err(format!("no answer for {name} within 1 s")),
        Ok(Err(e)) => Err(e.to_string()),
        Ok(Ok(answer)) => parse_answer(&answer).map_err(|why| format!("{name}: {why}")),
    }
}

fn question(name: &str) -> Vec<u8> {
    let mut out = ID.to_be_bytes().to_vec();
    // Recursion desired, one question.
    out.extend_from_slice(&[1, 0, 0, 1, 0, 0, 0, 0, 0, 0]);
    for label in name.split('.') {
        let label = label.as_bytes();
        out.push(u8::try_from(label.len().min(63)).unwrap_or(63));
        out.extend_from_slice(label.get(..label.len().min(63)).unwrap_or_default());
    }
    // The end of the name, type A, class IN.
    out.extend_from_slice(&[0, 0, 1, 0, 1]);
    out
}

fn parse_answer(answer: &[u8]) -> Result<(), String> {
    let (Some(id), Some(flags), Some(count)) = (answer.get(..2), answer.get(3), answer.get(6..8))
    else {
        return Err("the answer is cut short".into());
    };
    match flags & 0x0f {
        _ if id != ID.to_be_bytes() => Err("the answer belongs to another question".into()),
        0 if count != [0, 0] => Ok(()),
        0 => Err("no address".into()),
        code => Err(format!("response code {code}")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn questions_and_answers() {
        let q = question("a.bc");
        assert_eq!(&q[12..], [1, b'a', 2, b'b', b'c', 0, 0, 1, 0, 1]);
        let mut good = q.clone();
        (good[2], good[7]) = (0x84, 1);
        assert_eq!(parse_answer(&good), Ok(()));
        let mut refused = good.clone();
        refused[3] = 3;
        assert_eq!(parse_answer(&refused), Err("response code 3".into()));
        assert!(parse_answer(&q).is_err() && parse_answer(&[0]).is_err());
    }
}
