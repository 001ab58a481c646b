//! Signatures of tokens by `ring`, for `jsonwebtoken`. The only file with this knowledge.
//!
//! Invariant: a key verifies signatures of its own kind only; an algorithm without a line here,
//! such as `none`, verifies nothing. We sign with HMAC only.

use jsonwebtoken::crypto::{CryptoProvider, JwtSigner, JwtVerifier, KeyUtils};
use jsonwebtoken::errors::{ErrorKind, Result};
use jsonwebtoken::{Algorithm, AlgorithmFamily, DecodingKey, DecodingKeyKind, EncodingKey};
use ring::{hmac, signature as ring_signature};
use signature::{Error, Signer, Verifier};

static PROVIDER: CryptoProvider = CryptoProvider {
    signer_factory: signer,
    verifier_factory: verifier,
    key_utils: KeyUtils::new_unimplemented(),
};

/// Makes `jsonwebtoken` use this file. May be called again.
pub(super) fn install() {
    // A second installation is refused, and the first one stays.
    let _ = PROVIDER.install_default();
}

struct HmacSigner(hmac::Key);

struct HmacVerifier(hmac::Key);

struct RsaVerifier {
    algorithm: Algorithm,
    parameters: &'static ring_signature::RsaParameters,
    modulus: Vec<u8>,
    exponent: Vec<u8>,
}

/// A public key of an elliptic curve: a string of bytes.
struct PointVerifier {
    algorithm: Algorithm,
    key: ring_signature::UnparsedPublicKey<Vec<u8>>,
}

#[expect(clippy::trivially_copy_pass_by_ref, reason = "the crate wants it so")]
fn signer(algorithm: &Algorithm, key: &EncodingKey) -> Result<Box<dyn JwtSigner>> {
    if *algorithm != Algorithm::HS256 || key.family() != AlgorithmFamily::Hmac {
        return Err(ErrorKind::InvalidAlgorithm.into());
    }
    Ok(Box::new(HmacSigner(hmac::Key::new(hmac::HMAC_SHA256, key.as_bytes()))))
}

#[expect(clippy::trivially_copy_pass_by_ref, reason = "the crate wants it so")]
fn verifier(algorithm: &Algorithm, key: &DecodingKey) -> Result<Box<dyn JwtVerifier>> {
    if algorithm.family() != key.family() {
        return Err(ErrorKind::InvalidAlgorithm.into());
    }
    match algorithm {
        Algorithm::HS256 => {
            let key = hmac::Key::new(hmac::HMAC_SHA256, key.try_get_as_bytes()?);
            Ok(Box::new(HmacVerifier(key)))
        }
        Algorithm::RS256 => rsa(*algorithm, key, &ring_signature::RSA_PKCS1_2048_8192_SHA256),
        Algorithm::RS384 => rsa(*algorithm, key, &ring_signature::RSA_PKCS1_2048_8192_SHA384),
        Algorithm::RS512 => rsa(*algorithm, key, &ring_signature::RSA_PKCS1_2048_8192_SHA512),
        Algorithm::PS256 => rsa(*algorithm, key, &ring_signature::RSA_PSS_2048_8192_SHA256),
        Algorithm::PS384 => rsa(*algorithm, key, &ring_signature::RSA_PSS_2048_8192_SHA384),
        Algorithm::PS512 => rsa(*algorithm, key, &ring_signature::RSA_PSS_2048_8192_SHA512),
        Algorithm::ES256 => point(*algorithm, key, &ring_signature::ECDSA_P256_SHA256_FIXED),
        Algorithm::ES384 => point(*algorithm, key, &ring_signature::ECDSA_P384_SHA384_FIXED),
        Algorithm::EdDSA => point(*algorithm, key, &ring_signature::ED25519),
        _ => Err(ErrorKind::InvalidAlgorithm.into()),
    }
}

fn rsa(
    algorithm: Algorithm,
    key: &DecodingKey,
    parameters: &'static ring_signature::RsaParameters,
) -> Result<Box<dyn JwtVerifier>> {
    let DecodingKeyKind::RsaModulusExponent { n, e } = key.kind() else {
        return Err(ErrorKind::InvalidKeyFormat.into());
    };
    // Some issuers write numbers with a leading zero byte, and `ring` refuses it.
    let number = |bytes: &[u8]| bytes.iter().skip_while(|byte| **byte == 0).copied().collect();
    let (modulus, exponent) = (number(n), number(e));
    Ok(Box::new(RsaVerifier { algorithm, parameters, modulus, exponent }))
}

fn point(
    algorithm: Algorithm,
    key: &DecodingKey,
    curve: &'static dyn ring_signature::VerificationAlgorithm,
) -> Result<Box<dyn JwtVerifier>> {
    let bytes = key.try_get_as_bytes()?.to_vec();
    let key = ring_signature::UnparsedPublicKey::new(curve, bytes);
    Ok(Box::new(PointVerifier { algorithm, key }))
}

impl Signer<Vec<u8>> for HmacSigner {
    fn try_sign(&self, message: &[u8]) -> std::result::Result<Vec<u8>, Error> {
        Ok(hmac::sign(&self.0, message).as_ref().to_vec())
    }
}

impl JwtSigner for HmacSigner {
    fn algorithm(&self) -> Algorithm {
        Algorithm::HS256
    }
}

impl Verifier<Vec<u8>> for HmacVerifier {
    fn verify(&self, message: &[u8], signature: &Vec<u8>) -> std::result::Result<(), Error> {
        hmac::verify(&self.0, message, signature).map_err(|_| Error::new())
    }
}

impl JwtVerifier for HmacVerifier {
    fn algorithm(&self) -> Algorithm {
        Algorithm::HS256
    }
}

impl Verifier<Vec<u8>> for RsaVerifier {
    fn verify(&self, message: &[u8], signature: &Vec<u8>) -> std::result::Result<(), Error> {
        let key = ring_signature::RsaPublicKeyComponents { n: &self.modulus, e: &self.exponent };
        key.verify(self.parameters, message, signature).map_err(|_| Error::new())
    }
}

impl JwtVerifier for RsaVerifier {
    fn algorithm(&self) -> Algorithm {
        self.algorithm
    }
}

impl Verifier<Vec<u8>> for PointVerifier {
    fn verify(&self, message: &[u8], signature: &Vec<u8>) -> std::result::Result<(), Error> {
        self.key.verify(message, signature).map_err(|_| Error::new())
    }
}

impl JwtVerifier for PointVerifier {
    fn algorithm(&self) -> Algorithm {
        self.algorithm
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// RFC 7515, appendix A.2: a key and its signed message.
    const RSA_MODULUS: &str = "ofgWCuLjybRlzo0tZWJjNiuSfb4p4fAkd_wWJcyQoTbji9k0l8W26mPddxHmfHQp-Vaw-4qPCJrcS2mJPMEzP1Pt0Bm4d4QlL-yRT-SFd2lZS-pCgNMsD1W_YpRPEwOWvG6b32690r2jZ47soMZo9wGzjb_7OMg0LOL-bSf63kpaSHSXndS5z5rexMdbBYUsLA9e-KXBdQOS-UTo7WTBEMa2R2CapHg665xsmtdVMTBQY4uDZlxvb3qCo5ZwKh9kG4LT6_I5IhlJH7aGhyxXFvUK-DWNmoudF8NAco9_h9iaGNj8q2ethFkMLs91kzk2PAcDTW9gb54h4FRWyuXpoQ";
    const RSA_MESSAGE: &str = "eyJhbGciOiJSUzI1NiJ9.eyJpc3MiOiJqb2UiLA0KICJleHAiOjEzMDA4MTkzODAsDQogImh0dHA6Ly9leGFtcGxlLmNvbS9pc19yb290Ijp0cnVlfQ";
    const RSA_SIGNATURE: &str = "cC4hiUPoj9Eetdgtv3hF80EGrhuB__dzERat0XF9g2VtQgr9PJbu3XOiZj5RZmh7AAuHIm4Bh-0Qc_lF5YKt_O8W2Fp5jujGbds9uJdbF9CUAr7t1dnZcAcQjbKBYNX4BAynRFdiuB--f_nZLgrnbyTyWzO75vRK5h6xBArLIARNPvkSjtQBMHlb1L07Qe7K0GarZRmB_eSN9383LcOLn6_dO--xi12jzDwusC-eOkHWEsqtFZESc6BfI7noOPqvhJ1phCnvWh6IeYI2w9QOYEUipUTI8np6LbgGY9Fs98rqVt5AXLIhWkWywlVmtVrBp0igcN_IoypGlUPQGe77Rw";

    fn verifies(signature: &str, message: &str, key: &DecodingKey, algorithm: Algorithm) -> bool {
        install();
        let message = message.as_bytes();
        jsonwebtoken::crypto::verify(signature, message, key, algorithm).unwrap_or(false)
    }

    #[test]
    fn an_rsa_signature_of_the_standard_is_verified_and_a_changed_one_is_not() {
        let key = DecodingKey::from_rsa_components(RSA_MODULUS, "AQAB").unwrap();
        assert!(verifies(RSA_SIGNATURE, RSA_MESSAGE, &key, Algorithm::RS256));
        let changed = RSA_MESSAGE.replace("joe", "eve").replace("eyJpc3MiOiJqb2", "eyJpc3MiOiJldm");
        assert!(!verifies(RSA_SIGNATURE, &changed, &key, Algorithm::RS256));
        for other in [Algorithm::RS384, Algorithm::PS256, Algorithm::ES256, Algorithm::HS256] {
            assert!(!verifies(RSA_SIGNATURE, RSA_MESSAGE, &key, other), "{other:?}");
        }
    }

    #[test]
    fn a_number_with_a_zero_before_it_is_the_same_number() {
        use base64::Engine as _;
        let coded = base64::engine::general_purpose::URL_SAFE_NO_PAD;
        let number = [&[0][..], &coded.decode(RSA_MODULUS).unwrap()].concat();
        let key = DecodingKey::from_rsa_raw_components(&number, &[1, 0, 1]);
        assert!(verifies(RSA_SIGNATURE, RSA_MESSAGE, &key, Algorithm::RS256));
    }

    #[test]
    fn a_public_key_is_no_secret_to_sign_with() {
        install();
        let secret = EncodingKey::from_secret(RSA_MODULUS.as_bytes());
        let signed = jsonwebtoken::crypto::sign(b"message", &secret, Algorithm::HS256).unwrap();
        let key = DecodingKey::from_rsa_components(RSA_MODULUS, "AQAB").unwrap();
        assert!(!verifies(&signed, "message", &key, Algorithm::HS256));
        assert!(jsonwebtoken::crypto::sign(b"m", &secret, Algorithm::RS256).is_err());
    }
}
