import com.google.cloud.tools.jib.api.Containerizer;
import com.google.cloud.tools.jib.api.Jib;
import com.google.cloud.tools.jib.api.JibContainerBuilder;
import com.google.cloud.tools.jib.api.RegistryImage;
import com.google.cloud.tools.jib.api.TarImage;
import com.google.cloud.tools.jib.api.buildplan.AbsoluteUnixPath;
import java.nio.file.Path;
import java.util.List;

/**
 * One push or pull by jib-core, as its plugins do it.
 *
 * <p>push FOLDER REFERENCE FILE...: each file becomes a layer. pull FOLDER REFERENCE ARCHIVE. The
 * folder holds the caches.
 */
public final class Trial {
  public static void main(String[] arguments) throws Exception {
    Path folder = Path.of(arguments[1]);
    RegistryImage there = RegistryImage.named(arguments[2]);
    JibContainerBuilder image;
    Containerizer to;
    if (arguments[0].equals("push")) {
      image = Jib.fromScratch();
      for (int next = 3; next < arguments.length; next++) {
        AbsoluteUnixPath into = AbsoluteUnixPath.get("/layer" + next);
        image.addLayer(List.of(Path.of(arguments[next])), into);
      }
      to = Containerizer.to(there);
    } else {
      image = Jib.from(there);
      to = Containerizer.to(TarImage.at(Path.of(arguments[3])).named("pulled"));
    }
    image.containerize(
        to.setAllowInsecureRegistries(true)
            .setBaseImageLayersCache(folder.resolve("base"))
            .setApplicationLayersCache(folder.resolve("layers")));
    System.exit(0);
  }
}
