namespace Veza.Host.Http;

/// <summary>Which addresses a caller may name.</summary>
static class Addresses
{
    /// <summary>https, or http where that is allowed; never with a name or password in it.</summary>
    /// <param name="url">Empty where there is none to check.</param>
    public static void Check(JsonBodyReader fields, string field, string url, Func<Uri, bool> mayBeHttp)
    {
        if (url.Length == 0)
        {
            return;
        }

        if (
            !Uri.TryCreate(url, UriKind.Absolute, out var address)
            || address.UserInfo.Length > 0
            || address.Scheme is not ("https" or "http")
        )
        {
            fields.Fault(
                field,
                "not_an_address",
                $"{field} must be an absolute https:// address without credentials."
            );
        }
        else if (address.Scheme == "http" && !mayBeHttp(address))
        {
            fields.Fault(field, "not_https", $"{field} must begin with https://.");
        }
    }
}
