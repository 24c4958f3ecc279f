using System.Security.Claims;
using Microsoft.AspNetCore.Authentication;
using Microsoft.AspNetCore.Authentication.Cookies;

namespace Veza.Host.AdminConsole;

/// <summary>
/// The cookie names a session, and the database holds it: it ends with its key, on every host, whatever the cookie says.
/// </summary>
sealed class SessionTickets(ConsoleSessions sessions, Settings settings) : ITicketStore
{
    const string Scheme = CookieAuthenticationDefaults.AuthenticationScheme;
    const string KeyId = "key_id";

    public static ClaimsIdentity Identity(Caller caller) =>
        new(
            [
                new(ClaimTypes.Name, caller.Name),
                new(ClaimTypes.Role, ApiKeys.Word(caller.Role)),
                new(KeyId, caller.KeyId.ToString()),
            ],
            Scheme
        );

    /// <summary>ASP.NET calls the overloads that take a token; the interface still demands the others.</summary>
    static CancellationToken Unused => CancellationToken.None;

    public Task<string> StoreAsync(AuthenticationTicket ticket) => StoreAsync(ticket, Unused);

    public Task RenewAsync(string key, AuthenticationTicket ticket) => RenewAsync(key, ticket, Unused);

    public Task<AuthenticationTicket?> RetrieveAsync(string key) => RetrieveAsync(key, Unused);

    public Task RemoveAsync(string key) => RemoveAsync(key, Unused);

    public async Task<string> StoreAsync(AuthenticationTicket ticket, CancellationToken cancellationToken)
    {
        var token = ConsoleSessions.NewToken();
        await RenewAsync(token, ticket, cancellationToken);
        return token;
    }

    /// <summary>Somebody signs in again in a browser that is signed in.</summary>
    public Task RenewAsync(string key, AuthenticationTicket ticket, CancellationToken cancellationToken) =>
        sessions.Begin(key, Guid.Parse(ticket.Principal.FindFirstValue(KeyId)!), cancellationToken);

    public async Task<AuthenticationTicket?> RetrieveAsync(string key, CancellationToken cancellationToken)
    {
        if (
            await sessions.Find(key, cancellationToken) is not { } session
            || !ConsoleSignIn.MayLook(settings, session.Caller.Role)
        )
        {
            return null;
        }

        var properties = new AuthenticationProperties { ExpiresUtc = session.ExpiresAt };
        return new(new ClaimsPrincipal(Identity(session.Caller)), properties, Scheme);
    }

    /// <summary>A sign-out holds even if the browser does not wait for it.</summary>
    public Task RemoveAsync(string key, CancellationToken cancellationToken) =>
        sessions.End(key, CancellationToken.None);
}
