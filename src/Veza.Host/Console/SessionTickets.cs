using System.Security.Claims;
using Microsoft.AspNetCore.Authentication;
using Microsoft.AspNetCore.Authentication.Cookies;
using Veza.Adapters.Postgres;

namespace Veza.Host.Console;

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

    public async Task<string> StoreAsync(AuthenticationTicket ticket)
    {
        var token = ConsoleSessions.NewToken();
        await RenewAsync(token, ticket);
        return token;
    }

    /// <summary>Somebody signs in again in a browser that is signed in.</summary>
    public Task RenewAsync(string key, AuthenticationTicket ticket) =>
        sessions.Begin(key, Guid.Parse(ticket.Principal.FindFirstValue(KeyId)!), CancellationToken.None);

    public async Task<AuthenticationTicket?> RetrieveAsync(string key)
    {
        if (
            await sessions.Find(key, CancellationToken.None) is not { } session
            || !ConsoleSignIn.MayLook(settings, session.Caller.Role)
        )
        {
            return null;
        }

        var properties = new AuthenticationProperties { ExpiresUtc = session.ExpiresAt };
        return new(new ClaimsPrincipal(Identity(session.Caller)), properties, Scheme);
    }

    public Task RemoveAsync(string key) => sessions.End(key, CancellationToken.None);
}
